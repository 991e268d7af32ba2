"""The way of the bytes: records, the encoder, the spool, the writer, the reader."""
