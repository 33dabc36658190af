//! Room `store`: this test binary run again as a program that keeps a server, so that it can be
//! killed or be another user.

use std::io::{BufRead, BufReader, Lines, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{keep_a_row, start, stop};

const MARK: &str = "helper";

/// A program that keeps a server in `data` until its input ends.
pub(super) struct Helper {
    process: Child,
    /// Kept, or what it prints at its end would break it.
    _output: Lines<BufReader<ChildStdout>>,
    /// The server's.
    pub(super) pid: i32,
}

impl Helper {
    pub(super) fn start(program: &Path, data: &Path, user: Option<u32>) -> Self {
        std::fs::write(data.join(MARK), "").expect("our own directory");
        let mut command = Command::new(program);
        command.args(["embedded::helper::serve_until_input_ends", "--exact", "--ignored"]);
        command.arg("--nocapture").current_dir(data);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut process = command.spawn().expect("it can be run");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let pid = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("serves as ")?.1.trim().parse().ok())
            .expect("it says when it is ready");
        Self { process, _output: lines, pid }
    }

    /// As by the kernel when memory is short: no chance to stop anything.
    pub(super) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is ours");
    }

    pub(super) fn stop(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("it is ours").success());
    }
}

#[tokio::test]
#[ignore = "a program for other tests"]
async fn serve_until_input_ends() {
    if !Path::new(MARK).exists() {
        return;
    }
    let server = start(Path::new(".")).await;
    keep_a_row(&server).await;
    println!("\nserves as {}", server.pid().expect("it is ready"));
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the input ends");
    stop(server).await;
}
