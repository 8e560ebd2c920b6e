-- Epochs are told apart by where they are written.
ALTER TABLE apus_epoch ADD COLUMN place TEXT;
