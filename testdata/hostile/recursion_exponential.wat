;; attacks: limits.deadline and limits.fuel, with calls alone: never deep, and no loop
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; with: cancel=100ms
;; gets: canceled
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (func $f (param i32) (result i64)
    (if (result i64) (local.get 0)
      (then (i64.add
        (call $f (i32.sub (local.get 0) (i32.const 1)))
        (call $f (i32.sub (local.get 0) (i32.const 1)))))
      (else (i64.const 1))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (return (call $answer (call $f (i32.const 90))))))
