"""Models of the Hugging Face hub: what of a repository is fetched, and what is there without a network.

Nothing here imports torch: naming the features of a finished extraction must cost nothing.
"""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from vdprobe.errors import ModelError

SIDE_BY_SIDE = ("*.fp16.*", "*.bf16.*", "*.non_ema.*", "*open_clip*")
"""The same weights again, in another precision or form, which no loader here takes."""
SECONDS = 10
"""How long the hub may take to say what a repository holds."""


def download(name: str, prefixes: Sequence[str]) -> tuple[Path, str]:
    """(folder, id@commit) of a Hugging Face snapshot: what lies under `prefixes`, with one set of weights each.

    Where the hub cannot be reached, what an earlier call has fetched is taken. Raises `ModelError` where there is
    nothing of it, and for an id that the hub does not have.
    """
    from huggingface_hub import constants, snapshot_download

    repo, _, revision = name.partition("@")
    reason = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        try:
            files = _listed(repo, revision or None)
            patterns = [pattern for prefix in prefixes for pattern in _patterns(prefix, files)]
            folder = snapshot_download(
                repo, revision=revision or None, allow_patterns=patterns, ignore_patterns=list(SIDE_BY_SIDE)
            )
            return Path(folder), f"{repo}@{Path(folder).name}"
        except ModelError:
            raise
        except Exception as error:  # a network fails in as many ways as its clients have classes
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    try:
        folder = snapshot_download(repo, revision=revision or None, local_files_only=True)
    except Exception as error:  # also for an id that is none
        raise ModelError(
            f"cannot fetch '{name}' from Hugging Face ({reason}), and no earlier copy is there; go online once, unset "
            "HF_HUB_OFFLINE, or give the folder of a downloaded model"
        ) from error
    return Path(folder), f"{repo}@{Path(folder).name}"


def _listed(repo: str, revision: str | None) -> list[str]:
    """The files of a repository, by one request that is not tried again: a dead network is told at once."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi().model_info(repo, revision=revision, timeout=SECONDS)
    except RepositoryNotFoundError:
        raise ModelError(f"Hugging Face has no model '{repo}' that you may read; check the id, or log in") from None
    except RevisionNotFoundError:
        raise ModelError(f"Hugging Face has no revision '{revision}' of '{repo}'; check what follows the @") from None
    except HFValidationError:
        raise ModelError(f"'{repo}' cannot be a Hugging Face id; write owner/name or owner/name@revision") from None
    return [file.rfilename for file in found.siblings or ()]


def _patterns(prefix: str, files: Sequence[str]) -> list[str]:
    """Configurations, tokenizer and weights under a prefix; safetensors where the repository has them to be read."""
    mine = [file for file in files if file.startswith(prefix) and not any(fnmatch(file, p) for p in SIDE_BY_SIDE)]
    safe = any(file.endswith(".safetensors") for file in mine)
    return [f"{prefix}*{suffix}" for suffix in (".json", ".txt", ".model", ".safetensors" if safe else ".bin")]
