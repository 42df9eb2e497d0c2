CREATE TABLE whale_detector.alerts (
    alert_id text PRIMARY KEY,
    revision integer NOT NULL,
    venue text NOT NULL,
    instrument text NOT NULL,
    kind smallint NOT NULL,
    side smallint NOT NULL,
    notional double precision NOT NULL,
    ts_first_fill bigint NOT NULL,
    message bytea NOT NULL
);
CREATE INDEX alerts_by_time ON whale_detector.alerts (ts_first_fill DESC, alert_id DESC);
CREATE INDEX alerts_by_instrument
    ON whale_detector.alerts (instrument, ts_first_fill DESC, alert_id DESC);

CREATE TABLE whale_detector.thresholds (
    venue text NOT NULL,
    instrument text NOT NULL,
    ts_event bigint NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (venue, instrument)
);
