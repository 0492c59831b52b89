;; attacks: limits.deadline and limits.fuel, with instructions that copy 64 MiB each
;; with: deadline=200ms memory_mib=80
;; gets: deadline_exceeded limit=deadline
;; with: fuel=20000000 memory_mib=80
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1025)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 0x3ffffff))
      (memory.copy (i32.const 65537) (i32.const 65536) (i32.const 0x3ffffff))
      (br 0))
    (unreachable)))
