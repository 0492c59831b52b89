;; attacks: metering.split, with a copy and a fill whose end, counted in 32 bits, is inside of the memory
;; with: nothing
;; gets: plugin_failed
;; says: out of bounds
;; control: raw: traps out of bounds
;; control: bytes 10 41 70 fc 0b 00 => 41 10 fc 0b 00: answers 1
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (memory.fill (i32.const 2048) (i32.const 1) (i32.const 0xfffffff0))
    (call $answer (i64.const 1))))
