;; attacks: admission.segments, with data at a place that is negative for whoever takes it for signed
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, instance: traps
;; control: bytes 11 41 78 0b => 41 38 0b: answers 1
(module
  (memory (export "memory") 1)
  (data (i32.const -8) "wraps around to the memory's first bytes")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
