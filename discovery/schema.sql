-- A run's archive. Every table is append-only: triggers refuse UPDATE and DELETE (archive.py adds them).
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (at REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS baseline (name TEXT PRIMARY KEY, source TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS instance (
    split TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
    classes TEXT NOT NULL, bound REAL NOT NULL, kind TEXT NOT NULL, method TEXT NOT NULL, best REAL,
    PRIMARY KEY (split, position)
);
CREATE TABLE IF NOT EXISTS request (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, island INTEGER NOT NULL, operator TEXT NOT NULL,
    parents TEXT NOT NULL, prompt TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answer (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, model TEXT NOT NULL, text TEXT NOT NULL, source TEXT,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, seconds REAL NOT NULL, cost REAL NOT NULL
);
-- A call is written down before it is made; `tokens` and `cost` are the most it may use. An answer settles its call.
CREATE TABLE IF NOT EXISTS call (
    id INTEGER PRIMARY KEY, number INTEGER NOT NULL, at REAL NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL,
    tokens INTEGER NOT NULL, cost REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS settled (
    call INTEGER PRIMARY KEY, at REAL NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL,
    tokens INTEGER NOT NULL, cost REAL NOT NULL, seconds REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS call_by_number ON call (number);
CREATE TABLE IF NOT EXISTS outcome (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, elapsed REAL NOT NULL, verdict TEXT NOT NULL,
    detail TEXT NOT NULL, score REAL, signature TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS evaluation (
    heuristic TEXT NOT NULL, split TEXT NOT NULL, at REAL NOT NULL, verdict TEXT NOT NULL, detail TEXT NOT NULL,
    costs TEXT NOT NULL, cpu_seconds REAL NOT NULL, signature TEXT NOT NULL,
    PRIMARY KEY (heuristic, split)
);
-- What a problem reports beside the cost of an evaluation.
CREATE TABLE IF NOT EXISTS report (
    heuristic TEXT NOT NULL, split TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (heuristic, split, name)
);
CREATE TABLE IF NOT EXISTS comparison (
    heuristic TEXT NOT NULL, split TEXT NOT NULL, rival TEXT NOT NULL, result TEXT NOT NULL,
    PRIMARY KEY (heuristic, split, rival)
);
