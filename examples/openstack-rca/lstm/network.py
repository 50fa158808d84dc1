"""The network, and the reproducible state of TensorFlow around it."""

from __future__ import annotations

import os
from typing import Any

from config import Config

# Before TensorFlow is imported: its notes about missing GPUs and rebuilds help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf

from lstm.dataset import NEXT_EVENT, ROOT_CAUSE, Dataset

__all__ = ["INPUT", "build", "keras", "make_deterministic", "tf"]

INPUT = "events"


def make_deterministic(seed: int, threads: int) -> None:
    """Make every later run in this process reproducible, bit for bit on one kind of CPU.

    Raises RuntimeError when TensorFlow already runs with another number of threads.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def build(dataset: Dataset, config: Config) -> Any:
    """Return the compiled network for a data set.

    One recurrent layer reads the events; from each of its steps a softmax predicts the next
    event, as DeepLog does. Where there are labels, a second recurrent layer reads the same
    steps and names the root cause. Standard layers only: whoever loads the file needs no code.
    """
    size = len(dataset.vocabulary)
    events = keras.Input((dataset.max_length,), dtype="int32", name=INPUT)
    steps = keras.layers.Embedding(size, config.embedding_dim, name="embedding")(events)
    steps = keras.layers.LSTM(config.lstm_units, return_sequences=True, name="event_lstm")(steps)
    steps = keras.layers.Dropout(config.dropout_rate, name="dropout")(steps)
    outputs = {NEXT_EVENT: keras.layers.Dense(size, activation="softmax", name=NEXT_EVENT)(steps)}
    if dataset.task == ROOT_CAUSE:
        state = keras.layers.LSTM(config.lstm_units, name="cause_lstm")(steps)
        state = keras.layers.Dropout(config.dropout_rate, name="cause_dropout")(state)
        cause = keras.layers.Dense(len(dataset.labels), activation="softmax", name=ROOT_CAUSE)
        outputs[ROOT_CAUSE] = cause(state)
    model = keras.Model(events, outputs, name="openstack_rca")
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate, clipnorm=1.0),
        loss=dict.fromkeys(outputs, "sparse_categorical_crossentropy"),
        metrics={ROOT_CAUSE: ["accuracy"]} if dataset.task == ROOT_CAUSE else None,
        weighted_metrics={
            NEXT_EVENT: [keras.metrics.SparseTopKCategoricalAccuracy(config.top_k, name="top_k")]
        },
        jit_compile=False,
    )
    return model
