-- Which events touch a stream: its own, and those of other streams that change it.
CREATE TABLE apus_stream_event (
    stream   TEXT    NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (stream, position)
);
