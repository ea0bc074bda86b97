//! Scenes of the client machine.
