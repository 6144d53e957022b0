-- A small shop with data worth guarding. The people are invented: phone numbers
-- are from the ranges kept for fiction, cards are the issuers' test numbers,
-- and the social security numbers belong to nobody (area 900 is never given).

CREATE TABLE customers (
    id         integer PRIMARY KEY,
    name       text NOT NULL,
    email      text NOT NULL UNIQUE,
    ssn        char(11) NOT NULL,
    phone      text,
    card       varchar(19),
    birthday   date,
    notes      text,
    created_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00'
);
COMMENT ON COLUMN customers.ssn IS 'social security number';

INSERT INTO customers (id, name, email, ssn, phone, card, birthday, notes) VALUES
    (1, 'Ada Marlowe',     'ada.marlowe@example.com',   '900-12-3456', '+1 202-555-0142', '4111 1111 1111 1111', '1984-02-29', NULL),
    (2, 'Bela Okafor',     'bela@example.org',          '900-23-4567', '+1 303-555-0187', '5555-5555-5555-4444', '1991-07-14', 'calls from +1 303-555-0188'),
    (3, 'Chen Vidal',      'chen.vidal@example.net',    '900-34-5678', NULL,              '378282246310005',     '1975-11-03', 'prefers chen@example.com'),
    (4, 'Dara O''Sullivan','dara+shop@example.com',     '900-45-6789', '+44 20 7946 0958', NULL,                 NULL,         E'two\nlines'),
    (5, 'Émile Zając',     'emile.zajac@example.fr',    '900-56-7890', '+33 1 99 00 12 34', '6011111111111117',   '2001-01-01', '');

CREATE TABLE orders (
    id          bigint PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers (id),
    item        text NOT NULL,
    amount      numeric(10, 2) NOT NULL CHECK (amount >= 0),
    ordered_at  timestamptz NOT NULL
);
CREATE INDEX orders_customer ON orders (customer_id);

INSERT INTO orders (id, customer_id, item, amount, ordered_at)
SELECT n, 1 + n % 5, 'item ' || n, (n % 97) * 1.25, timestamptz '2025-01-01 00:00:00+00' + n * interval '1 hour'
FROM generate_series(1, 500) AS n;

CREATE VIEW customer_orders AS
    SELECT c.id AS customer_id, c.name, c.email AS contact, o.id AS order_id, o.item, o.amount
    FROM customers c JOIN orders o ON o.customer_id = c.id;

CREATE TABLE logins (
    at          timestamptz NOT NULL,
    customer_id integer NOT NULL,
    email       text NOT NULL,
    address     inet
) PARTITION BY RANGE (at);
CREATE TABLE logins_2024 PARTITION OF logins FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE logins_2025 PARTITION OF logins FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');

INSERT INTO logins (at, customer_id, email, address)
SELECT timestamptz '2024-06-01 00:00:00+00' + n * interval '5 days', c.id, c.email, ('192.0.2.' || 1 + n)::inet
FROM customers c, generate_series(0, 99) AS n;

-- A function that changes data, behind a name that does not say so.
CREATE FUNCTION total_spent(customer integer) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    UPDATE customers SET notes = 'looked at' WHERE id = customer;
    RETURN (SELECT sum(amount) FROM orders WHERE customer_id = customer);
END $$;

ANALYZE;
