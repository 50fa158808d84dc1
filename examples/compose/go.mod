module dagger/compose

go 1.26.1
