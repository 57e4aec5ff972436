//! Benches of the parts that READ and WRITE pass through. The whole path is measured by `vtl-load`: see README.md here.
