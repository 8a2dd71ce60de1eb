-- Which of the waiting windows the model is asked about first: the gravest, of those the newest.
ALTER TABLE window ADD COLUMN severity INTEGER NOT NULL DEFAULT 0; -- rank of its gravest finding, 0 info to 4 critical
CREATE INDEX window_first ON window (severity DESC, id DESC) WHERE state = 'pending';
