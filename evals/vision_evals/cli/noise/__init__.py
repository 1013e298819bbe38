"""The noise floor: by how much numbers move on one machine when nothing that matters changes."""
