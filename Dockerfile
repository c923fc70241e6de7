# prunebench and its dependencies, for machines with or without NVIDIA GPUs:
#   docker build -t prunebench:0.2.0 .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" prunebench:0.2.0 run demo
# With GPUs: docker run --gpus all --ipc host ... Studies, results and data are in the folder that is mounted at /work.
# There is no compiler in it, which `run --compile` needs, and no git, so results name no revision.
FROM python:3.11-slim

LABEL org.opencontainers.image.title="prunebench" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="MIT"

COPY pyproject.toml README.md LICENSE /opt/source/
COPY api /opt/source/api
COPY benchmark /opt/source/benchmark
COPY datasets /opt/source/datasets
COPY methods /opt/source/methods
COPY results/published /opt/source/results/published
COPY slurm /opt/source/slurm
COPY typings /opt/source/typings
RUN pip install --no-cache-dir --root-user-action ignore /opt/source && rm -r /opt/source

# `--user` may be somebody without an entry in the image's password file, and so without a home folder.
ENV HOME=/tmp USER=prunebench PRUNEBENCH_DATA=/work/data
WORKDIR /work
ENTRYPOINT ["prunebench"]
CMD ["--help"]
