-- Checkpoints: a shard's state and the offsets that it covers change in one transaction. No weights
-- are made that would change a tick at or before licensed_until (ns of event time).
CREATE TABLE shard_checkpoints (
    shard integer PRIMARY KEY,
    generation bigint NOT NULL,
    offsets jsonb NOT NULL,
    licensed_until bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shard_states (
    shard integer NOT NULL,
    name text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (shard, name)
);

-- Each score as it was sent, with its receipt.
CREATE TABLE scores (
    instrument text NOT NULL,
    ts_event bigint NOT NULL,
    weights_version integer NOT NULL,
    score double precision NOT NULL,
    price double precision NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (instrument, ts_event, weights_version)
);
CREATE INDEX scores_by_time ON scores (ts_event);

-- Versions are never changed; a tick at or behind ts_effective is scored with the highest of them.
CREATE TABLE weights (
    version integer PRIMARY KEY,
    layers jsonb NOT NULL,
    ts_effective bigint NOT NULL,
    changed_by text NOT NULL,
    reason text NOT NULL
);

-- Who changed what, and why.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant_id text NOT NULL,
    principal_id text NOT NULL,
    action text NOT NULL,
    version integer NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    reason text NOT NULL
);
