-- API keys, each of a tenant and a principal. The key itself is never stored: `digest` is the SHA-256
-- of the whole key, whose secret part has 238 bits, so a slow hash would add nothing but latency.
CREATE TABLE api_keys (
    key_id       uuid PRIMARY KEY,
    prefix       text NOT NULL UNIQUE CHECK (length(prefix) = 8),
    digest       bytea NOT NULL CHECK (length(digest) = 32),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    tenant_id    text NOT NULL DEFAULT 'default' CHECK (length(tenant_id) BETWEEN 1 AND 64),
    principal_id text NOT NULL CHECK (length(principal_id) BETWEEN 1 AND 64),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz CHECK (expires_at > created_at),
    revoked_at   timestamptz
);

CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at);

-- Who made, used up or revoked what; rows are only ever added.
CREATE TABLE audit (
    audit_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    tenant_id    text NOT NULL,
    principal_id text NOT NULL,
    action       text NOT NULL,
    subject      text NOT NULL
);

CREATE INDEX audit_of_tenant ON audit (tenant_id, at);
