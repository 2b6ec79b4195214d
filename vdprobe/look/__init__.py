"""A viewer of stored features in the browser: what a layer finds alike, frame by frame."""
