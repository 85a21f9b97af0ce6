# Runs `marsad predict` on CPUs, offline and without privileges:
#
#   docker build -t marsad .
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD/models:/models:ro" -v "$PWD/reports:/reports:ro" \
#       -v "$PWD/out:/out" marsad /models/marsad /reports --output /out/entities.jsonl
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE predict.py ./
COPY marsad marsad
# --build-arg PIP_EXTRA_INDEX_URL=… with PyTorch's index of CPU wheels leaves CUDA away, most of the image's size.
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir -c constraints.txt '.[onnx]' \
    && useradd --create-home --uid 10001 marsad

ENV HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
USER marsad
ENTRYPOINT ["python", "predict.py"]
