;; attacks: admission.segments, with data that begins inside of the memory and ends outside
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, instance: traps
;; control: bytes 5 01 00 01 => 01 00 02: answers 1
(module
  (memory (export "memory") 1)
  (data (i32.const 65530) "outside the memory")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
