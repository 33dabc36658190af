//! Room `server`: a folder that an export is written into, one file of lines for each table.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use misy_store::tenant_data::Sink;
use serde_json::Value;

/// Files of newline-delimited JSON, readable by their owner alone.
pub(super) struct Folder {
    path: PathBuf,
    files: BTreeMap<String, (BufWriter<File>, u64)>,
}

impl Folder {
    /// A new folder; one that is there is refused, so that two exports never mix.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned(), files: BTreeMap::new() })
    }

    /// Writes what is left; gives the rows of each file.
    pub(super) fn finish(mut self) -> io::Result<Vec<(String, u64)>> {
        for (file, _) in self.files.values_mut() {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        Ok(self.files.into_iter().map(|(name, (_, rows))| (name, rows)).collect())
    }

    fn file(&mut self, table: &str) -> io::Result<&mut (BufWriter<File>, u64)> {
        if !self.files.contains_key(table) {
            let path = self.path.join(format!("{table}.ndjson"));
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            self.files.insert(table.to_owned(), (BufWriter::new(file), 0));
        }
        self.files.get_mut(table).ok_or_else(|| io::Error::other("the file was just made"))
    }
}

#[async_trait]
impl Sink for Folder {
    async fn rows(&mut self, table: &str, rows: Vec<Value>) -> io::Result<()> {
        let (file, count) = self.file(table)?;
        for row in rows {
            serde_json::to_writer(&mut *file, &row)?;
            file.write_all(b"\n")?;
            *count += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn each_table_becomes_a_file_of_lines_and_no_folder_is_written_twice() {
        let outer = tempfile::tempdir().expect("a folder");
        let path = outer.path().join("acme");
        let mut folder = Folder::make(&path).expect("new");
        for number in 0..3 {
            folder.rows("contacts", vec![json!({ "n": number })]).await.expect("written");
        }
        folder.rows("users", vec![json!({ "name": "a\nb" })]).await.expect("written");
        let expected = [("contacts".to_owned(), 3), ("users".to_owned(), 1)];
        assert_eq!(folder.finish().expect("flushed"), expected);
        let text = std::fs::read_to_string(path.join("contacts.ndjson")).expect("readable");
        assert_eq!(text, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
        let text = std::fs::read_to_string(path.join("users.ndjson")).expect("readable");
        assert_eq!(text.lines().count(), 1, "a line break in a text is none of the file");
        assert!(Folder::make(&path).is_err());
    }
}
