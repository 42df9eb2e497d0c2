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

-- Which tables are split by event time (ns UTC), in pieces of how long, kept for how long.
CREATE TABLE time_tables (
    name text PRIMARY KEY,
    time_column text NOT NULL,
    piece_ns bigint NOT NULL,
    retention_ns bigint
);

CREATE FUNCTION create_time_table(
    table_name text, definition text, time_col text, piece bigint, retention bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        EXECUTE format('CREATE TABLE %I (%s)', table_name, definition);
        PERFORM public.create_hypertable(
            table_name::regclass, time_col::name,
            chunk_time_interval => piece, create_default_indexes => false
        );
    ELSE
        EXECUTE format('CREATE TABLE %I (%s) PARTITION BY RANGE (%I)',
                       table_name, definition, time_col);
    END IF;
    INSERT INTO time_tables VALUES (table_name, time_col, piece, retention);
END $$;

SELECT create_time_table('trades', $$
    venue text NOT NULL,
    instrument text NOT NULL,
    ts_event bigint NOT NULL,
    kind smallint NOT NULL,
    trade_id text NOT NULL,
    sequence bigint,
    side smallint NOT NULL,
    price bigint NOT NULL,
    size bigint NOT NULL,
    contracts bigint NOT NULL,
    price_exponent smallint NOT NULL,
    size_exponent smallint NOT NULL,
    contracts_exponent smallint NOT NULL,
    ts_basis smallint NOT NULL,
    ts_ingest bigint NOT NULL,
    print smallint NOT NULL,
    backfilled boolean NOT NULL,
    PRIMARY KEY (venue, instrument, ts_event, kind, trade_id)
$$, 'ts_event', 86400000000000, 7776000000000000);

SELECT create_time_table('liquidations', $$
    venue text NOT NULL,
    instrument text NOT NULL,
    ts_event bigint NOT NULL,
    liquidation_id text NOT NULL,
    side smallint NOT NULL,
    price bigint NOT NULL,
    size bigint NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (venue, instrument, ts_event, liquidation_id)
$$, 'ts_event', 2592000000000000, 63072000000000000);

-- One table per interval: they differ in size by five orders and are kept for different times.
DO $$
DECLARE
    day CONSTANT bigint := 86400000000000;
    spec record;
    columns CONSTANT text := '
        venue text NOT NULL,
        instrument text NOT NULL,
        ts_open bigint NOT NULL,
        price_exponent smallint NOT NULL,
        size_exponent smallint NOT NULL,
        open bigint NOT NULL,
        high bigint NOT NULL,
        low bigint NOT NULL,
        close bigint NOT NULL,
        first_ts bigint NOT NULL,
        first_sequence bigint NOT NULL,
        last_ts bigint NOT NULL,
        last_sequence bigint NOT NULL,
        volume bigint NOT NULL,
        quote numeric NOT NULL,
        buy_volume bigint NOT NULL,
        buy_quote numeric NOT NULL,
        trades bigint NOT NULL,
        missing bigint NOT NULL,
        lost_ns bigint NOT NULL,
        contiguous boolean NOT NULL,
        revision integer NOT NULL,
        ts_known bigint NOT NULL,
        ts_ingest bigint NOT NULL,
        definition_version integer NOT NULL,
        components bytea';
BEGIN
    FOR spec IN
        SELECT * FROM (VALUES
            ('1s', day, 14 * day), ('1m', 30 * day, 730 * day), ('5m', 90 * day, NULL),
            ('15m', 365 * day, NULL), ('1h', 365 * day, NULL), ('4h', 1825 * day, NULL),
            ('1d', 3650 * day, NULL), ('1w', 3650 * day, NULL)
        ) AS specs (label, piece, retention)
    LOOP
        PERFORM create_time_table(
            'candles_' || spec.label,
            columns || ', PRIMARY KEY (venue, instrument, ts_open)',
            'ts_open', spec.piece, spec.retention
        );
    END LOOP;
    PERFORM create_time_table(
        'candle_revisions',
        'label text NOT NULL,' || columns
            || ', PRIMARY KEY (venue, instrument, label, ts_open, revision)',
        'ts_open', 30 * day, 730 * day
    );
END $$;

CREATE VIEW candles AS
    SELECT '1s' AS label, c.* FROM candles_1s c
    UNION ALL SELECT '1m', c.* FROM candles_1m c
    UNION ALL SELECT '5m', c.* FROM candles_5m c
    UNION ALL SELECT '15m', c.* FROM candles_15m c
    UNION ALL SELECT '1h', c.* FROM candles_1h c
    UNION ALL SELECT '4h', c.* FROM candles_4h c
    UNION ALL SELECT '1d', c.* FROM candles_1d c
    UNION ALL SELECT '1w', c.* FROM candles_1w c;

-- The latest of each instrument, as the message that says it.
CREATE TABLE summaries (
    venue text NOT NULL,
    instrument text NOT NULL,
    ts_event bigint NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (venue, instrument)
);

CREATE TABLE tickers (
    venue text NOT NULL,
    instrument text NOT NULL,
    ts_event bigint NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (venue, instrument)
);

CREATE TABLE instruments (
    venue text NOT NULL,
    instrument text NOT NULL,
    base text NOT NULL,
    version bigint NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (venue, instrument)
);

CREATE TABLE gaps (
    venue text NOT NULL,
    instrument text NOT NULL,
    gap_id text NOT NULL,
    channel smallint NOT NULL,
    resolution smallint NOT NULL,
    ts_from bigint NOT NULL,
    ts_to bigint NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (venue, instrument, gap_id)
);
CREATE INDEX gaps_by_time ON gaps (venue, instrument, ts_from);
