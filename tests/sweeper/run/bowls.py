"""A sweep of the toy kind that several modules of tests run."""

FIVE = "kind: bowl\nspace: {x: [-1.0, -0.5, 0.0, 0.5, 1.0]}\n"
