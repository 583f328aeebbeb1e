// The one translation unit whose precompiled header every torch-using target shares; see SkipattnModule.cmake.
