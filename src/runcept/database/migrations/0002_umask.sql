-- The umask of the shell that the environment was captured from: what its processes are started with.

ALTER TABLE environments ADD COLUMN umask INTEGER;
