//! Room `store`: makes the database cluster at first start, whole or not at all.

use std::path::Path;
use std::process::Stdio;

use misy_core::{Ambient, Secret, crypto};

use super::{Error, files, installation::Installation, place::Place, processes, user::RunAs};

/// The superuser's name.
pub(super) const SUPERUSER: &str = "postgres";

/// The major version that wrote the cluster; `None` if there is no complete one.
pub(super) fn major(pgdata: &Path) -> Option<u32> {
    let version = std::fs::read_to_string(pgdata.join("PG_VERSION")).ok()?;
    pgdata.join("global/pg_control").exists().then_some(version.trim().parse().ok()?)
}

/// The superuser's password: made once, kept beside the cluster, readable by who starts it only.
pub(super) fn password(place: &Place, ambient: &Ambient) -> Result<Secret, Error> {
    let path = place.secret();
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("read", &path)(error));
        }
        _ => {}
    }
    let password = crypto::to_hex(&ambient.bytes::<32>());
    files::write_private(&path, password.as_bytes())?;
    Ok(Secret::new(password))
}

/// Makes the cluster unless it is there. `initdb` works in a directory that is renamed when all of
/// it is on disk, so a kill at any moment leaves a draft, which the next start throws away.
pub(super) fn ensure(
    place: &Place,
    run_as: &RunAs,
    server: &Installation,
    ambient: &Ambient,
) -> Result<Secret, Error> {
    let password = password(place, ambient)?;
    let pgdata = place.pgdata();
    if major(&pgdata).is_some() {
        return Ok(password);
    }
    set_aside(&pgdata, ambient)?;
    let draft = place.home.join("data.draft");
    if draft.exists() {
        processes::clear(&draft)?;
        std::fs::remove_dir_all(&draft).map_err(Error::io("remove", &draft))?;
    }
    init(&draft, &password, place, run_as, server)?;
    let rename = std::fs::rename(&draft, &pgdata).and_then(|()| files::sync_parent(&pgdata));
    rename.map_err(Error::io("complete", &pgdata))?;
    Ok(password)
}

/// An incomplete cluster that is not our draft may be all that is left of somebody's data: it is
/// kept.
fn set_aside(pgdata: &Path, ambient: &Ambient) -> Result<(), Error> {
    if !pgdata.exists() || std::fs::remove_dir(pgdata).is_ok() {
        return Ok(());
    }
    let aside =
        pgdata.with_extension(format!("incomplete-{}", crypto::to_hex(&ambient.bytes::<4>())));
    tracing::warn!(?aside, "an incomplete database was set aside");
    std::fs::rename(pgdata, &aside).map_err(Error::io("set aside", pgdata))
}

fn init(
    draft: &Path,
    password: &Secret,
    place: &Place,
    run_as: &RunAs,
    server: &Installation,
) -> Result<(), Error> {
    let password_file = place.home.join("password");
    files::write_private(&password_file, password.expose().as_bytes())?;
    run_as.own(&password_file)?;
    let output = run_as
        .bound_command(&server.program("initdb"), "KILL")
        .args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C.UTF-8"])
        .args(["--auth", "scram-sha-256", "--data-checksums", "--no-instructions"])
        .arg("--pwfile")
        .arg(&password_file)
        .arg("--pgdata")
        .arg(draft)
        .current_dir(&place.home)
        .stderr(Stdio::piped())
        .output();
    let removed = files::remove_if_there(&password_file);
    removed.map_err(Error::io("remove", &password_file))?;
    let output = output.map_err(Error::io("run", &server.program("initdb")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program: "initdb", output: text })
}
