"""ModelScopeT2V and its like: `UNet3DConditionModel` of diffusers."""
