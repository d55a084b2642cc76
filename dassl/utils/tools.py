"""Upstream's module path for the small helpers; they live in one file per idea."""

from dassl.utils.download import download_url
from dassl.utils.environment import collect_env_info, set_random_seed
from dassl.utils.files import (
    check_isfile,
    listdir_nohidden,
    mkdir_if_missing,
    read_image,
    read_json,
    tolist_if_not,
    write_json,
)
from dassl.utils.names import check_availability, get_most_similar_str_to_a_from_b

__all__ = [
    "check_availability",
    "check_isfile",
    "collect_env_info",
    "download_url",
    "get_most_similar_str_to_a_from_b",
    "listdir_nohidden",
    "mkdir_if_missing",
    "read_image",
    "read_json",
    "set_random_seed",
    "tolist_if_not",
    "write_json",
]
