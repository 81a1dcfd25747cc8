"""Print a budget as options of `zoo pull`.

Half the download of a float artifact, at no more than its latency.
"""

import json
import subprocess
import sys

answer = subprocess.run(
    ["zoo", "show", sys.argv[1], "--json"], check=True, capture_output=True, text=True
).stdout
record = json.loads(answer)["record"]
baseline = next(m for m in record["measurements"] if m["device"] == "host-cpu")
top1 = next(m["value"] for m in record["metrics"] if m["metric"] == "top1")
print(
    f"--max-latency {baseline['latency_ms']['p95']:.4f}",
    f"--max-size-gzip {record['file']['size_gzip'] // 2}",
    f"--min-top1 {top1 - 0.02:.3f}",
)
