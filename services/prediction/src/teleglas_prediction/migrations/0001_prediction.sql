-- Checkpoints: a shard's state and the offsets that it covers change in one transaction.
CREATE TABLE shard_checkpoints (
    shard integer PRIMARY KEY,
    generation bigint NOT NULL,
    offsets jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shard_states (
    shard integer NOT NULL,
    name text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (shard, name)
);

-- Every forecast that was made, published or not, and what became of it. Times are event time (ns UTC).
CREATE TABLE ledger (
    id text PRIMARY KEY,
    instrument text NOT NULL,
    horizon_ns bigint NOT NULL,
    ts_event bigint NOT NULL,
    model text NOT NULL,
    is_champion boolean NOT NULL,
    forecast bytea NOT NULL,
    ts_resolved bigint,
    outcome_price double precision,
    -- One bit an interval, the first interval's the lowest.
    covered smallint,
    pinball_loss double precision,
    baseline_pinball_loss double precision
);

CREATE INDEX ledger_by_time ON ledger (ts_event, id);
CREATE INDEX ledger_by_instrument ON ledger (instrument, horizon_ns, ts_event, id);
