-- JSON of scheduler.inactivity.Uses: when each process was used last, by the clock of `monotonic`.

ALTER TABLE activity ADD COLUMN uses BLOB;
