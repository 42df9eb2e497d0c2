-- One row per shard. `epoch` only grows: it fences off every writer that held the shard before.
CREATE TABLE leases (
    venue      text        NOT NULL,
    shard      integer     NOT NULL,
    owner      text        NOT NULL,
    epoch      bigint      NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (venue, shard)
);
