"""The one door: messages, the table of operations, the codec. No I/O."""
