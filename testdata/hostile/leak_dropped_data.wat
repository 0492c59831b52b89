;; attacks: state.call, by dropping a data segment that the next call needs
;; with: nothing
;; gets: answers 1
;; after: answers 3
;; control: raw, twice: traps
(module
  (memory (export "memory") 1)
  (data $d "\03\00\00\00")
  (func $init (result i64)
    (memory.init $d (i32.const 2048) (i32.const 0) (i32.const 4))
    (i64.load32_u (i32.const 2048)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $init)))))
    (data.drop $d)
    (call $answer (i64.const 1))))
