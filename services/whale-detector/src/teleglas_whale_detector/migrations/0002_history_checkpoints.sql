-- How far the history has come is kept beside it, not in the log alone: a restored database reads on
-- from the alerts that it holds.
CREATE TABLE whale_detector.shard_checkpoints (
    shard integer PRIMARY KEY,
    generation bigint NOT NULL,
    offsets jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE whale_detector.shard_states (
    shard integer NOT NULL,
    name text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (shard, name)
);
