"""The names of the columns of the board's files, once for those who write them and those who read them."""

BOARD = 1  # the version of the protocol; see docs/board.md

VARIANTS = ("default", "tuned")
STATES = ("finished", "failed", "timeout", "memory", "not_run")

CUT_METRICS = ("subset_accuracy", "hamming_loss", "f1_micro", "f1_macro", "f1_example")  # of label sets
SCORE_METRICS = ("ranking_loss", "ap_macro", "auc_macro", "brier")
METRICS = (*CUT_METRICS, *SCORE_METRICS)
HALF = "_half"  # ends the names of metrics of label sets cut at .5
HALF_METRICS = tuple(f"{name}{HALF}" for name in CUT_METRICS)
COST = ("train_seconds", "predict_seconds", "peak_memory_mb", "parameters")

# records.parquet, a line a run; one without numbers says why in `reason`
IDENTITY = ("board", "dataset", "method", "family", "variant", "split", "seed", "key", "options")
RECORDS = (*IDENTITY, "state", "reason", *METRICS, *HALF_METRICS, *COST, "code", "revision")
# labels.parquet, means over splits
LABELS = ("dataset", "method", "variant", "label", "support", "f1", "ap")
# pairs.parquet, the paired bootstrap over test instances of all splits together
PAIRS = ("dataset", "metric", "first", "second", "difference", "low", "high", "p")

RECORDS_FILE, LABELS_FILE, PAIRS_FILE = "records.parquet", "labels.parquet", "pairs.parquet"
DATASETS_FILE, METHODS_FILE = "datasets.json", "methods.json"
FILES = (RECORDS_FILE, LABELS_FILE, PAIRS_FILE, DATASETS_FILE, METHODS_FILE)
