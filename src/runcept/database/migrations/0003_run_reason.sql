-- Why the run is over, a sentence: how it ended by itself, or why it was stopped.

ALTER TABLE runs ADD COLUMN reason TEXT;
