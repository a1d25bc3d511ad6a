# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "monai_semise" / "__init__.py").read_text()).group(1)  # type: ignore[union-attr]
DECODERS = ["pylibjpeg>=2.0", "pylibjpeg-openjpeg>=2.0", "pylibjpeg-rle>=2.0", "python-gdcm>=3.0.10"]
"""Of JPEG, JPEG-LS, JPEG 2000 and RLE in DICOM files."""
DICOM_WRITER = "highdicom>=0.28"
LABEL_SERVER = [
    "monailabel==0.8.5 ; python_version < '3.13'",  # its client imports cgi, which Python 3.13 has not
    "pydicom<3",  # pydicom-seg 0.4.1, which it imports, reads a module that pydicom 3 has not
    "dicomweb-client[gcp]<0.60",  # later ones need pydicom 3
    "pynetdicom<3",  # later ones need pydicom 3
    "numpy<2",  # pydicom-seg
    "jsonschema<4",  # pydicom-seg
    "mlflow<3.18",  # later ones need newer packages than these
    "dcmqi>=1.5",  # writes DICOM SEG for it; it would download an older one at its start
    "setuptools",  # brings distutils, which MONAI Label imports and Python 3.12 has not
    *DECODERS,
]
"""MONAI Label, and what keeps its last release, of November 2024, importable."""
EXPORTERS = ["onnx", "onnxruntime", "onnxscript"]

setup(
    name="monai-semise",
    version=VERSION,
    description="Semi-supervised severity representations of medical images (SEMISE) for MONAI",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["monai_semise", "monai_semise.*"]),
    package_data={"monai_semise": ["py.typed", "apps/*/templates/*"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.8",
        "monai>=1.6",
        "pytorch-ignite>=0.4.11",  # the one that monai[ignite], and so MONAI Label, asks for
        "nibabel>=5",
        "pydicom>=2.4.4",
        "itk>=5.3",
        "numpy",
        "filelock",
        "pandas>=2",
        "scikit-learn>=1.4",
        "scipy",
        "fire",  # what "python -m monai.bundle" reads its command line with
        "Jinja2",
        "Pillow",
        "matplotlib",
        "tqdm",
        "tensorboard",
    ],
    extras_require={
        "dicom": [*DECODERS, DICOM_WRITER],
        "onnx": EXPORTERS,
        # In an environment of its own: "dicom" needs pydicom 3.
        "label": LABEL_SERVER,
        "test-label": ["cryptography", "hypothesis", "playwright", "pytest"],
        "test": [
            *DECODERS,
            DICOM_WRITER,
            *EXPORTERS,
            "choix",
            "coral-pytorch>=1.4",
            "hypothesis",
            "jsonschema",
            "pyrefly>=1.5,<1.6",  # of both, a newer one may ask for more, which would stop CI
            "pytest",
            "pytest-xdist",
            "pytorch-metric-learning>=2.5",
            "ruff>=0.17,<0.18",
            "torchmetrics",
        ],
    },
    classifiers=[
        "Intended Audience :: Healthcare Industry",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
