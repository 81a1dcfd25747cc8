"""Run a pulled artifact on one real image with LiteRT, preparing the input as its record says.

python examples/infer.py MODEL.tflite MODEL.tflite.record.json
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from sklearn.datasets import load_digits

model, record = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

digits = load_digits()
picture, truth = digits.images[1234], digits.target[1234]
values = record["signature"]["values"]  # what the preprocessing comes to
image = (picture * values["scale"] + values["offset"]).astype(np.float32).reshape(given["shape"])
if given["dtype"] != np.float32:
    scale, zero_point = given["quantization"]
    image = np.round(image / scale + zero_point).astype(given["dtype"])

interpreter.reset_all_variables()  # of a file that keeps state: nothing of the input before
interpreter.set_tensor(given["index"], image)
interpreter.invoke()
scores = interpreter.get_tensor(wanted["index"])[0]

for row in picture:
    print("   " + "".join(" .:-=+*#%@"[min(9, int(value * 9 / 16))] * 2 for value in row))
print(f"{record['name']}@{record['version']} says {scores.argmax()}, the label says {truth}")
sys.exit(int(scores.argmax() != truth))
