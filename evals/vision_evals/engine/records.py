"""The entries of a pass in the log: its images, and where its time was spent."""

from __future__ import annotations

import hashlib

import pandas as pd
import torch

from vision_evals import log
from vision_evals.engine import tables
from vision_evals.engine.evidence import fast_path_record
from vision_evals.engine.run_pass import Pass
from vision_evals.images.image_set import ImageSet, fingerprint


def image_set_of(image_pass: Pass) -> log.ImageSet:
    """Return the entry of a pass's images.

    The fingerprint needs the bytes of all images; a part of a run leaves it to `evals merge`.
    """
    result, image_set = image_pass.result, image_pass.image_set
    partial = image_pass.config.partition is not None
    return unread_image_set(image_set).model_copy(
        update={
            "role": image_pass.role,
            "source": image_pass.source.text,
            "sample_of": image_set.sample_of,
            "fingerprint": fingerprint(image_set, result.digests)
            if result.finished and not partial
            else None,
            "table": tables.file(image_list_name(image_pass.role)) if partial else None,
            "unreadable": tuple(
                log.Unreadable(image=image, reason=reason)
                for image, reason in result.unreadable.items()
            ),
            "about": {image.id: dict(image.about) for image in image_set.images if image.about},
            "oriented": result.oriented,
        }
    )


def unread_image_set(image_set: ImageSet) -> log.ImageSet:
    """Return the entry of an image set before its pass."""
    return log.ImageSet(
        role="images",
        source=image_set.source,
        n=len(image_set.images),
        total=image_set.total,
        limit=image_set.limit,
        left_out=image_set.left_out,
    )


def image_list_name(role: str) -> str:
    """Return the name of the table in which a part of a run lists the images of a role."""
    return f"images-{tables.slug(role)}-{hashlib.sha256(role.encode()).hexdigest()[:8]}"


def list_images(image_pass: Pass) -> None:
    """Write the images of a part of a run, from which `evals merge` makes the fingerprint."""
    digests = image_pass.result.digests
    rows = [
        (image.id, digests.get(image.id), image.label, list(image.accepted))
        for image in image_pass.image_set.images
    ]
    columns = ["image", "sha256", "label", "accepted"]
    table = pd.DataFrame(rows, columns=columns)
    tables.write(image_pass.config.directory, image_list_name(image_pass.role), table)


def pass_record(image_pass: Pass) -> log.PassRecord:
    """Return the entry of a pass: its batches, decoder and time."""
    result, spent = image_pass.result, image_pass.result.spent
    errors = result.pixel_error
    fast_paths = (fast_path_record(group, result) for group in image_pass.groups.values())
    return log.PassRecord(
        images=image_pass.role,
        batch_size=image_pass.batch_size,
        n=result.n,
        seconds=spent["total"],
        decode_seconds=spent["read"] + spent["decode"] + spent["preprocess"],
        wait_seconds=spent["wait"],
        forward_seconds=spent["look"],
        rows_seconds=spent["rows"],
        picture_seconds=spent["pictures"],
        validity_seconds=spent["validity"],
        decoder="nvjpeg" if result.on_device else "pil",
        on_device=result.on_device,
        pixel_difference=float(torch.stack(errors).mean()) if errors else None,
        fitting=dict(result.fitting),
        fast_paths=tuple(filter(None, fast_paths)),
    )
