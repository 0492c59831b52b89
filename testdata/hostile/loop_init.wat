;; attacks: limits.deadline and limits.fuel, with memory.init, which no counter of turns sees the length of
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (data $d
    ;; repeat 500
    "0123456789abcdef0123456789abcdef"
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      ;; repeat 50
      (memory.init $d (i32.const 32768) (i32.const 0) (i32.const 16000))
      ;; end
      (br 0))
    (unreachable)))
