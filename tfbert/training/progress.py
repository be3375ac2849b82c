"""What stands around the steps of a training run: progress lines, history, validation, checkpoints, an orderly stop."""

import contextlib
import math
import signal
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from tfbert.common.console import say
from tfbert.common.errors import UserError
from tfbert.common.timing import clock
from tfbert.report.metrics import LOWER_IS_BETTER
from tfbert.training.checkpoints import (
    all_variables,
    folder_of_seed,
    read_newest,
    set_variables,
    write_checkpoint,
)
from tfbert.training.distribution import agree
from tfbert.training.evaluating import forward_of
from tfbert.training.outputs import checkpoints_in

PACED = 20  # steps after which the pace is known
RARELY = 60  # seconds between checkpoints, by default


class Progress(keras.callbacks.Callback):
    """Prints and records how training goes, validates, writes checkpoints, and stops when asked to."""

    def __init__(self, model, batches, evaluate, settings, total_steps, run_facts, team, when_paced=None):
        super().__init__()
        self.set_model(model)
        self.batches = batches
        self.evaluate = evaluate
        self.settings = settings
        self.total_steps = total_steps
        self.eval_steps = settings.eval_steps or math.ceil(total_steps / 5)
        self.logging_steps = settings.logging_steps or max(10, total_steps // 100)
        self.when_paced = when_paced
        self.checkpoints = folder_of_seed(settings.output_dir, run_facts["seed"])
        self.run_facts = run_facts
        self.team = team
        self.forward = forward_of(model, team)
        self.step = 0
        self.history = []  # one dict a row, the columns of history.csv
        self.train_seconds = 0.0  # without validation and checkpoints
        self.first_step_seconds = None  # with compilation
        self.stop_asked = False  # by a signal, or because validation no longer improves
        self.interrupted = self.ended_early = False
        self.best = None  # step, score and weights of the best validation
        self.window = Window()

    def on_train_begin(self, logs=None):
        self.began = self.saved = time.perf_counter()
        self.window, self.first = Window(), self.step

    def on_train_batch_begin(self, batch, logs=None):
        self.window.resume()

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.window.steps += 1
        if self.first_step_seconds is None:
            float(logs["loss"])  # waits until the device is done
            self.first_step_seconds = time.perf_counter() - self.began
            self.window.compiling = time.perf_counter() - self.window.started
        at_epoch = self.step % self.batches.steps_per_epoch == 0
        at_end = self.step == self.total_steps
        validates = self.step % self.eval_steps == 0 or at_end
        if self.settings.save_steps:
            saves = self.step % self.settings.save_steps == 0 or at_end
        else:
            saves = at_end or (at_epoch or validates) and time.perf_counter() - self.saved > RARELY
        if self.team.strategy:  # all machines stop at the same step
            stopping = self.step % 10 == 0 and float(logs["interrupted"]) > 0
        else:
            stopping = self.stop_asked  # read once: a signal may come at any moment
        if self.step % self.logging_steps == 0 or validates or saves or stopping:
            loss, accuracy = float(logs["loss"]), float(logs["accuracy"])  # waits until the device is done
            self.window.pause()
            self.log(loss, accuracy)
        self.window.pause()
        if validates and self.team.cluster.is_chief:
            self.validate()
            stopping |= self.ended_early and not self.team.strategy
        if stopping:
            self.interrupted = not self.ended_early
            self.model.stop_training = True
        if (saves or stopping) and self.team.cluster.is_chief:
            self.save()

    def log(self, loss, accuracy):
        if not np.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {self.step}: lower --learning_rate, or use --precision float32"
            )
        seconds, steps = self.window.seconds, self.window.steps
        self.train_seconds += seconds
        if self.window.compiling and steps > 1:  # what the first step took says nothing about those that follow
            seconds, steps = seconds - self.window.compiling, steps - 1
        texts = steps * self.batches.batch_size / seconds
        tokens = texts * self.batches.tokens_per_row
        left = seconds / steps * (self.total_steps - self.step)
        self.history.append({
            "step": self.step,
            "epoch": round(self.step / self.batches.steps_per_epoch, 4),
            "loss": loss,
            "accuracy": accuracy,
            "learning_rate": float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "texts_per_second": texts,
            "tokens_per_second": tokens,
        })  # fmt: skip
        print(
            f"step {self.step:5}/{self.total_steps}  loss {loss:.4f}  acc {accuracy:.3f}  "
            f"{texts:.1f} texts/s  {tokens:,.0f} tok/s  {clock(left)} left",
            flush=True,
        )
        if self.when_paced and self.step - self.first >= PACED and self.step < self.total_steps:
            self.when_paced(seconds / self.batches.padded_tokens(self.step - steps, steps))
            self.when_paced = None
        self.model.reset_metrics()
        self.window = Window()

    def validate(self):
        scores = self.evaluate(self.forward)
        row = {f"validation_{name}": value for name, value in scores.items()}
        if self.history and self.history[-1]["step"] == self.step:
            self.history[-1] |= row
        else:
            self.history.append({"step": self.step, "epoch": round(self.step / self.batches.steps_per_epoch, 4), **row})
        origin = "--validation_file" if self.settings.validation_file else "held out of train"
        more = "".join(f"  {name} {value:.3f}" for name, value in scores.items() if name not in ("loss", "accuracy"))
        print(f"      validation  loss {scores['loss']:.4f}  acc {scores['accuracy']:.3f}{more}  ({origin})",
              flush=True)  # fmt: skip
        if self.settings.keeps_best:
            name = self.settings.metric_for_best_model
            if name == "metric":
                name = list(scores)[-1]
            elif name == "accuracy" and "exact_match" in scores:
                name = "exact_match"
            self.compare_with_best(-scores[name] if name in LOWER_IS_BETTER else scores[name])

    def compare_with_best(self, score):
        """Keeps the weights if this is the highest score; asks for the end if none was for long enough."""
        if self.best is None or score > self.best["score"]:
            weights = [ops.convert_to_numpy(weight) for weight in self.model.weights]
            self.best = {"step": self.step, "score": score, "weights": weights}
        since = sum(row["step"] > self.best["step"] for row in self.history if "validation_loss" in row)
        if self.settings.early_stopping_patience and since >= self.settings.early_stopping_patience:
            print(f"No better validation than that of step {self.best['step']}: ending early", flush=True)
            self.stop_asked = self.ended_early = True

    def save(self):
        state = {
            "step": self.step,
            "best": self.best and {name: self.best[name] for name in ("step", "score")},
            "ended_early": self.ended_early,
            "train_seconds": self.train_seconds,
            "run": self.run_facts,
            "history": self.history,
        }
        write_checkpoint(self.checkpoints, self.model, state, self.best and self.best["weights"])
        self.saved = time.perf_counter()

    def restore(self, which):
        """Takes up a checkpoint: "last", or a folder. Raises UserError where none is whole, or it is of another run."""
        paths = checkpoints_in(self.checkpoints) if which == "last" else [Path(which)]
        if not paths:  # an earlier seed of the job was not done yet
            return
        path, state = read_newest(paths, self.model, self.run_facts)
        self.step, self.history, self.train_seconds = state["step"], state["history"], state["train_seconds"]
        self.best, self.ended_early = state["best"], state["ended_early"]
        say("Resumed", f"at step {self.step} from {path}")

    def follow_chief(self):
        """Takes the chief's step and variables."""
        values = [np.array(self.step), *map(ops.convert_to_numpy, all_variables(self.model))]
        step, *values = agree(self.team, self.run_facts, values)
        self.step = int(step)
        set_variables(self.model, values)

    def take_best(self):
        """Gives the model the weights of the best validation, where they are kept."""
        if self.best and self.best["step"] != self.step:
            self.model.set_weights(self.best["weights"])
            print(f"Back to the weights of step {self.best['step']}, the best validation")

    def last_validation(self):
        """The history's row of the weights that a finished run ends with; None on machines that do not validate."""
        rows = [row for row in self.history if "validation_loss" in row]
        return next((row for row in rows if self.best and row["step"] == self.best["step"]), rows[-1] if rows else None)

    def interrupt(self):
        self.stop_asked = True
        with contextlib.suppress(RuntimeError):  # the signal came while another line was printed
            print("\nStopping; press Ctrl-C again to stop at once.", flush=True)


class Window:
    """Steps and seconds since the last progress line, without the pauses."""

    def __init__(self):
        self.steps, self.seconds, self.started = 0, 0.0, None
        self.compiling = 0.0  # seconds of these, of a run's first step

    def resume(self):
        self.started = self.started or time.perf_counter()

    def pause(self):
        if self.started:
            self.seconds += time.perf_counter() - self.started
            self.started = None


class SignalGuard:
    """A context in which the first Ctrl-C or SIGTERM calls `first`, and the second does what it always did."""

    def __init__(self, first):
        self.first = first

    def __enter__(self):
        numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGBREAK")]  # the last: Windows
        self.previous = {number: signal.signal(number, self.handle) for number in numbers if number}

    def handle(self, number, frame):
        self.__exit__()
        self.first()

    def __exit__(self, *exception):
        for number, handler in self.previous.items():
            signal.signal(number, handler)
