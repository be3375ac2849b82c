"""What most people write: a FastAPI function around a model. Arguments: folder, port, and quantize or nothing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tfbert.inference.predicting import Predictor

app = FastAPI()
predict = Predictor(sys.argv[1], "quantize" in sys.argv)


class Body(BaseModel):
    texts: list[str]


@app.post("/predict")
def label(body: Body):
    return predict(body.texts)


uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="warning")
