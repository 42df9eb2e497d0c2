-- Checkpoints: a shard's state, the offsets that it covers and what it wants to be told change in
-- one transaction.
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

-- Grows by one with every change of subscribers or rules, so that readers know when to load them.
CREATE TABLE directory (version bigint NOT NULL);
INSERT INTO directory VALUES (1);

CREATE TABLE subscribers (
    tenant_id text NOT NULL,
    id text NOT NULL,
    channel text NOT NULL,
    address text NOT NULL,
    time_zone text NOT NULL,
    quiet_from text NOT NULL,
    quiet_to text NOT NULL,
    budget_per_hour integer NOT NULL,
    digest boolean NOT NULL,
    enabled boolean NOT NULL,
    muted_until_ns bigint NOT NULL DEFAULT 0,
    disabled_reason text NOT NULL DEFAULT '',
    created_ns bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE rules (
    tenant_id text NOT NULL,
    id text NOT NULL,
    subscriber_id text NOT NULL,
    name text NOT NULL,
    kinds text[] NOT NULL,
    instruments text[] NOT NULL,
    venues text[] NOT NULL,
    min_notional double precision,
    min_percentile double precision,
    min_abs_score double precision,
    enabled boolean NOT NULL,
    created_ns bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscribers (tenant_id, id)
);
CREATE INDEX rules_of_subscriber ON rules (tenant_id, subscriber_id, id);

-- What is known of an event that somebody is told about. Versions grow with better knowledge.
CREATE TABLE cards (
    event_id text PRIMARY KEY,
    version integer NOT NULL,
    ts_event bigint NOT NULL,
    body bytea NOT NULL,
    traceparent text NOT NULL,
    updated_ns bigint NOT NULL
);
CREATE INDEX cards_by_age ON cards (updated_ns);

-- One row for an event and a subscriber, whatever happens to it. Statuses are DeliveryStatus.
CREATE TABLE deliveries (
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    subscriber_id text NOT NULL,
    rule_id text NOT NULL,
    event_id text NOT NULL REFERENCES cards (event_id),
    channel text NOT NULL,
    status smallint NOT NULL,
    reason text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    revision integer NOT NULL DEFAULT 1,
    reported integer NOT NULL DEFAULT 0,
    ts_event bigint NOT NULL,
    ts_delivered bigint NOT NULL DEFAULT 0,
    created_ns bigint NOT NULL,
    message_id text,
    UNIQUE (tenant_id, subscriber_id, event_id)
);
CREATE INDEX deliveries_waiting ON deliveries (tenant_id, subscriber_id, seq)
    WHERE status = 1 AND message_id IS NULL;
CREATE INDEX deliveries_unreported ON deliveries (seq) WHERE reported < revision;
CREATE INDEX deliveries_of_event ON deliveries (event_id);
CREATE INDEX deliveries_by_message ON deliveries (message_id);
CREATE INDEX deliveries_by_time ON deliveries (tenant_id, ts_event DESC, seq DESC);

-- The outbox: what stands or shall stand in a chat. A message is due when `sent < wanted`.
CREATE TABLE messages (
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    subscriber_id text NOT NULL,
    kind text NOT NULL,
    event_id text NOT NULL,
    wanted integer NOT NULL DEFAULT 1,
    sent integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'waiting',
    attempts integer NOT NULL DEFAULT 0,
    unconfirmed integer NOT NULL DEFAULT 0,
    in_flight boolean NOT NULL DEFAULT false,
    due_ns bigint NOT NULL,
    created_ns bigint NOT NULL,
    ref text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT ''
);
CREATE INDEX messages_due ON messages (tenant_id, subscriber_id, due_ns)
    WHERE sent < wanted AND status <> 'failed';
CREATE INDEX messages_of_event ON messages (event_id);
CREATE INDEX messages_of_hour ON messages (tenant_id, subscriber_id, created_ns);

-- One row a chat: who serves it, and when it wants to be served next.
CREATE TABLE chats (
    tenant_id text NOT NULL,
    subscriber_id text NOT NULL,
    channel text NOT NULL,
    due_ns bigint,
    lease_owner text NOT NULL DEFAULT '',
    lease_until_ns bigint NOT NULL DEFAULT 0,
    paced_ns bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, subscriber_id)
);
CREATE INDEX chats_due ON chats (channel, due_ns) WHERE due_ns IS NOT NULL;

-- Work that one replica does at a time.
CREATE TABLE leases (
    name text PRIMARY KEY,
    owner text NOT NULL,
    until_ns bigint NOT NULL
);

-- Updates of the Bot API that had their effect.
CREATE TABLE telegram_updates (
    update_id bigint PRIMARY KEY,
    seen_ns bigint NOT NULL
);
