"""Tables and fitted models that the benchmarks explain.

Adult is read from the folder named by FASTEXPLAIN_DATA (UCI's own files under ``adult/``) or
fetched from OpenML; the rest comes with scikit-learn.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer
from sklearn.datasets import fetch_openml, load_breast_cancer, load_diabetes, make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

ADULT_COLUMNS = (
    "age workclass fnlwgt education education-num marital-status occupation relationship "
    "race sex capital-gain capital-loss hours-per-week native-country income"
).split()


@dataclass
class Task:
    """Training rows, held-out rows, and a model fitted on the former."""

    name: str
    X_train: Any
    X_test: Any
    model: Any
    accuracy: float


def classification_mlp() -> Task:
    """Ten numbers, three classes, a torch MLP that answers logits."""
    X, y = make_classification(
        4000, 10, n_informative=5, n_redundant=2, n_classes=3, random_state=0
    )
    X = StandardScaler().fit_transform(X).astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1000, random_state=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [torch.nn.Linear(10, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64)]
        net = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(64, 3))
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        inputs, labels = torch.from_numpy(X_train), torch.from_numpy(y_train)
        for _ in range(40):
            for rows in torch.randperm(len(inputs)).split(64):
                loss = torch.nn.functional.cross_entropy(net(inputs[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    net.eval()
    with torch.no_grad():
        accuracy = (net(torch.from_numpy(X_test)).argmax(1).numpy() == y_test).mean()
    model = torch.nn.Sequential(net, torch.nn.Softmax(dim=1)).eval()
    return Task("classification-mlp", X_train, X_test, model, float(accuracy))


def read_adult() -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]:
    """Adult census as raw frames: text, numbers and missing cells."""
    folder = os.environ.get("FASTEXPLAIN_DATA")
    if folder and (Path(folder) / "adult" / "adult.data").exists():
        options = {"names": ADULT_COLUMNS, "skipinitialspace": True, "na_values": "?"}
        train = pd.read_csv(Path(folder) / "adult" / "adult.data", **options)
        test = pd.read_csv(Path(folder) / "adult" / "adult.test", skiprows=1, **options)
        test["income"] = test["income"].str.rstrip(".")
        return (
            train.drop(columns="income"),
            train["income"],
            test.drop(columns="income"),
            test["income"],
        )
    data = fetch_openml("adult", version=2, as_frame=True)
    split = train_test_split(data.data, data.target, test_size=1 / 3, random_state=0)
    return split[0], split[2], split[1], split[3]


def adult(kind: str, n_columns: int = 14) -> Task:
    """Adult census, by a pipeline on the raw frame or by XGBoost on categories."""
    X_train, y_train, X_test, y_test = read_adult()
    if n_columns == 12:
        X_train = X_train.drop(columns=["fnlwgt", "education"])
        X_test = X_test.drop(columns=["fnlwgt", "education"])
    text = X_train.select_dtypes(exclude="number").columns.tolist()
    name = f"adult{n_columns}-{kind}"
    if kind == "hgb":
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        columns = ColumnTransformer([("codes", codes, text)], remainder="passthrough")
        model = make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))
        model.fit(X_train, y_train)
        return Task(name, X_train, X_test, model, model.score(X_test, y_test))
    from xgboost import XGBClassifier

    for column in text:
        categories = pd.CategoricalDtype(sorted(X_train[column].dropna().unique()))
        X_train[column] = X_train[column].astype(categories)
        X_test[column] = X_test[column].astype(categories)
    model = XGBClassifier(enable_categorical=True, random_state=0)
    model.fit(X_train, (y_train == ">50K").astype(int))
    return Task(name, X_train, X_test, model, model.score(X_test, (y_test == ">50K").astype(int)))


def breast_cancer_forest() -> Task:
    """Thirty numbers, a random forest: too wide to enumerate."""
    data = load_breast_cancer(as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(
        data.data, data.target, test_size=0.35, random_state=0
    )
    model = RandomForestClassifier(random_state=0).fit(X_train, y_train)
    return Task("breast-cancer-forest", X_train, X_test, model, model.score(X_test, y_test))


def diabetes_regressor() -> Task:
    """Ten numbers and a real-valued output."""
    data = load_diabetes(as_frame=True, scaled=False)
    X_train, X_test, y_train, y_test = train_test_split(
        data.data, data.target, test_size=0.4, random_state=0
    )
    model = HistGradientBoostingRegressor(random_state=0, max_iter=60).fit(X_train, y_train)
    return Task("diabetes-hgb", X_train, X_test, model, model.score(X_test, y_test))
