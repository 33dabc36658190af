//! Room `sandbox`: the append-only journal. A line is written before anybody is told what it says,
//! so whatever was answered survives the death of the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::world::{Record, World};

/// One record a line.
const JOURNAL: &str = "journal.jsonl";
/// The next journal, until it takes the other's name.
const COMPACTED: &str = "journal.jsonl.new";
/// Held as long as the sandbox runs; the system lets go of it when the process dies.
const LOCK: &str = "lock";
/// Bytes of files, one file each, under their ids.
const MEDIA: &str = "media";

/// The journal of one data directory, held exclusively.
pub(crate) struct Journal {
    file: File,
    /// Bytes of whole lines; what is beyond was torn by a failed write.
    length: u64,
    media: PathBuf,
    _lock: File,
}

impl Journal {
    /// Replays the journal into a world, writes it anew without what is no longer needed, and opens
    /// it for more. A last line that was torn by the death of its writer is left out: nobody was
    /// told of it.
    pub(crate) fn open(directory: &Path) -> Result<(Self, World), Error> {
        let failed = |source| Error::Data { path: directory.to_owned(), source };
        let media = directory.join(MEDIA);
        fs::create_dir_all(&media).map_err(failed)?;
        let lock = File::create(directory.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|_| Error::InUse { path: directory.to_owned() })?;
        let path = directory.join(JOURNAL);
        let world = replay(&path)?;
        let file = compact(&world, &path, &directory.join(COMPACTED)).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok((Self { file, length, media, _lock: lock }, world))
    }

    /// Writes records, all or none; or a beginning of them, if the process dies meanwhile.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        if let Err(error) = self.file.write_all(&lines) {
            // Half a line in the middle would make all that follows unreadable.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Where the bytes of a file are.
    pub(crate) fn media_path(&self, id: &str) -> PathBuf {
        self.media.join(id)
    }
}

/// The world that the journal tells of.
fn replay(path: &Path) -> Result<World, Error> {
    let mut world = World::default();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(world),
        Err(source) => return Err(Error::Data { path: path.to_owned(), source }),
    };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let read = reader.read_until(b'\n', &mut line);
        let read = read.map_err(|source| Error::Data { path: path.to_owned(), source })?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(world);
        }
        let record = serde_json::from_slice::<Record>(&line);
        let corrupt = |source| Error::Corrupt { path: path.to_owned(), line: number, source };
        world.apply(record.map_err(corrupt)?);
    }
}

/// Writes the world beside the journal and puts it in its place in one step.
fn compact(world: &World, path: &Path, fresh: &Path) -> io::Result<File> {
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(fresh)?);
    for record in world.snapshot() {
        serde_json::to_writer(&mut writer, &record)?;
        writer.write_all(b"\n")?;
    }
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(fresh, path)?;
    OpenOptions::new().append(true).open(path)
}
