;; attacks: limits.memory_mib, page by page
;; with: memory_mib=4
;; gets: answers 64
;; control: raw: answers 512
;; control: with memory_mib=64: answers 512
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (block $full
      (loop $more
        (br_if $full (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
        (br_if $more (i32.lt_u (memory.size) (i32.const 512)))))
    (call $answer (i64.extend_i32_u (memory.size)))))
