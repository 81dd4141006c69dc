#!/bin/bash -eu
# Builds every fuzz target into $OUT, each with its dictionary, its seeds, and the shared libraries
# that the machine which runs it lacks. OSS-Fuzz sets SRC, WORK, OUT, CC, CXX, CFLAGS, CXXFLAGS and
# LIB_FUZZING_ENGINE.

source=$SRC/millstream
build=$WORK/millstream

# The old kind of path holds for the libraries of libraries too.
export LDFLAGS="${LDFLAGS-} -Wl,--disable-new-dtags '-Wl,-rpath,\$ORIGIN/lib'"
rm -rf "$build"
meson setup "$build" "$source" --buildtype=plain --default-library=static -Db_lundef=false \
  -Dtests=false -Dexamples=false -Dfuzz=enabled -Dfuzz_engine="${LIB_FUZZING_ENGINE// /,}"
ninja -C "$build"

mkdir -p "$OUT/lib"
for program in "$build"/fuzz/fuzz_*; do
  [ -f "$program" ] || continue
  target=$(basename "$program")
  name=${target#fuzz_}
  cp "$program" "$OUT/"
  cp "$source/fuzz/$name.dict" "$OUT/$target.dict"
  zip -qj "$OUT/${target}_seed_corpus.zip" "$source/fuzz/corpus/$name"/*
  # All but the C library's own.
  ldd "$program" | awk '$3 ~ /^\// { print $3 }' |
    grep -vE '/lib(c|m|dl|rt|pthread|resolv)\.so' | xargs -r cp -uLt "$OUT/lib"
done
