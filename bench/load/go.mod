module millstream/bench/load

go 1.24
