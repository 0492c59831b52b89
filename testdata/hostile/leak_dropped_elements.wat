;; attacks: state.call, by dropping elements that the next call needs
;; with: nothing
;; gets: answers 1
;; after: answers 0
;; control: raw, twice: traps
(module
  (memory (export "memory") 1)
  (table $t 2 funcref)
  (elem $e func $answer)
  (func $init (result i64)
    (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))
    (i64.extend_i32_u (ref.is_null (table.get $t (i32.const 0)))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $init)))))
    (elem.drop $e)
    (call $answer (i64.const 1))))
